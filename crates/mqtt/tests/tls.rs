//! TLS handshakes over loopback: whom a client trusts, and that packets pass.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use mqtt::{Conn, Packet, Reading, Stream, Version};
use tls::{ClientTls, Trust, client_config, server_name};
use tokio::net::{TcpListener, TcpStream};

/// Connects with `trust` to a server that holds a certificate for `localhost`, and exchanges a ping.
async fn ping(trust: impl FnOnce(&str) -> Trust, name: &'static str) -> std::io::Result<()> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await?;
        let mut conn = Conn::server(Stream::tls_server(tcp, Arc::new(server)).await?, 1000);
        while conn.input.buffered_bytes() < 2 {
            conn.turn(Reading::Wanted).await?;
        }
        conn.output.put(&Packet::PingResponse).unwrap();
        conn.close().await
    });

    let tls = ClientTls::new(trust(&made.cert.pem()));
    let config = client_config(&tls).unwrap();
    let stream =
        Stream::tls_client(TcpStream::connect(address).await?, config, server_name(name).unwrap()).await?;
    let mut conn = Conn::client(stream, Version::V311, 1000);
    conn.output.put(&Packet::PingRequest).unwrap();
    loop {
        conn.turn(Reading::Wanted).await?;
        if let Some(packet) = conn.input.next().unwrap() {
            assert!(matches!(packet, Packet::PingResponse));
            drop(conn);
            return serving.await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_certificate_of_the_given_authority_is_trusted() {
    ping(|pem| Trust::Pem(pem.into()), "localhost").await.unwrap();
}

#[tokio::test]
async fn another_name_or_another_authority_is_not() {
    ping(|pem| Trust::Pem(pem.into()), "example.com").await.unwrap_err();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    ping(|_| Trust::Pem(other.into()), "localhost").await.unwrap_err();
}

#[tokio::test]
async fn anyone_is_anyone() {
    ping(|_| Trust::Anyone, "example.com").await.unwrap();
}

#[test]
fn what_is_no_certificate_is_named() {
    let error = client_config(&ClientTls::new(Trust::Pem(b"nonsense".to_vec()))).unwrap_err();
    assert_eq!(error.to_string(), "no certificate in PEM format found in the CA certificates");
}
