//! `GET /metrics`.

use api::ApiKeys;
use axum::body::Body;
use axum::http::Request;

use crate::gate::Gate;

#[tokio::test]
async fn every_number_is_there_once_and_under_its_headline() {
    let resources = "[connectors.far.cloud]\nserver = \"x:1\"\n[actions.far.up]\nconnector = \"cloud\"\nparameters = { topic = \"t\" }\n\
                     [sources.far.down]\nconnector = \"cloud\"\nparameters = { topic = \"t\" }\n";
    let files = [
        ("a.toml".to_owned(), resources.to_owned()),
        ("heat.sql".to_owned(), "--- actions = [\"far:up\"]\nSELECT * FROM \"t\"\n".to_owned()),
    ];
    let gate = Gate::start(&files, ApiKeys::default()).await;
    let answer = gate.send(Request::get("/metrics").body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, 200);
    for line in [
        "sluicegate_generation 1",
        "sluicegate_rules 1",
        "sluicegate_rule_enabled{rule=\"heat\"} 1",
        "sluicegate_rule_matched_total{rule=\"heat\"} 0",
        "sluicegate_rule_failed_total{rule=\"heat\",reason=\"no_result\"} 0",
        "sluicegate_rule_actions_total{rule=\"heat\",result=\"success\"} 0",
        "sluicegate_connector_status{connector=\"far:cloud\",status=\"connected\"} 1",
        "sluicegate_connector_status{connector=\"far:cloud\",status=\"stopped\"} 0",
        "sluicegate_source_received_total{source=\"far:down\"} 0",
        "sluicegate_action_matched_total{action=\"far:up\"} 0",
        "sluicegate_action_dropped_total{action=\"far:up\",reason=\"queue_full\"} 0",
        "sluicegate_action_queuing_bytes{action=\"far:up\"} 0",
        "sluicegate_rule_filtered_total{rule=\"heat\"} 0",
        "sluicegate_action_enabled{action=\"far:up\"} 1",
        "sluicegate_reloads_total{result=\"good\"} 1",
        "sluicegate_reloads_total{result=\"refused\"} 0",
        "sluicegate_mqtt_connections 3",
        "sluicegate_mqtt_received_bytes_total 4096",
    ] {
        assert_eq!(
            answer.body.lines().filter(|found| *found == line).count(),
            1,
            "{line} in\n{}",
            answer.body
        );
    }
    let mut headlines: Vec<&str> = answer.body.lines().filter(|line| line.starts_with("# TYPE ")).collect();
    let all = headlines.len();
    headlines.sort_unstable();
    headlines.dedup();
    assert_eq!(headlines.len(), all, "a metric has one headline");
}
