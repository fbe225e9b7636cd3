# A static binary in an image that holds nothing else but certificates and time zones.
#
#   docker build -t sluicegate .
#   docker run -p 1883:1883 -p 18083:18083 -v ./rules:/rules:ro -v sluicegate:/data sluicegate run --allow-anonymous

FROM rust:1.95-alpine AS build
RUN apk add --no-cache ca-certificates musl-dev tzdata
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --package cli && cp target/release/sluicegate /sluicegate
# A volume is given the owner of the folder that it covers.
RUN mkdir /data && chown 10001:10001 /data

FROM scratch
COPY --from=build /sluicegate /sluicegate
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /usr/share/zoneinfo /usr/share/zoneinfo
COPY --from=build --chown=10001:10001 /data /data
USER 10001:10001
WORKDIR /
# From outside of the container only these reach it. Without authentication in the configuration the server refuses them
# unless it is started with `--allow-anonymous`.
ENV SLUICEGATE__MQTT__LISTEN=0.0.0.0:1883 \
    SLUICEGATE__HTTP__LISTEN=0.0.0.0:18083 \
    SLUICEGATE__RULES__DIRS=/rules \
    SLUICEGATE__DATA__DIR=/data
EXPOSE 1883 18083
VOLUME /data
STOPSIGNAL SIGTERM
ENTRYPOINT ["/sluicegate"]
CMD ["run"]
