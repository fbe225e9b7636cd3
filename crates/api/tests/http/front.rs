//! `GET /`.

use api::ApiKeys;
use axum::body::Body;
use axum::http::Request;

use crate::gate::Gate;
use crate::script::Answer;

async fn front(accept: &str) -> Answer {
    let gate = Gate::start(&[], ApiKeys::default()).await;
    gate.send(Request::get("/").header("accept", accept).body(Body::empty()).unwrap()).await
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer
        .headers
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
        .unwrap_or_default()
}

#[tokio::test]
async fn a_browser_gets_a_page_that_runs_nothing_but_its_own_script() {
    let answer = front("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8").await;
    assert_eq!(header(&answer, "content-type"), "text/html; charset=utf-8");
    let policy = header(&answer, "content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.body.matches("<script>").count(), 1);
    for outside in
        ["src=\"http", "href=\"http", "//cdn", "@import", "innerHTML", "document.write", "style=\""]
    {
        assert!(!answer.body.contains(outside), "{outside}");
    }
}

#[tokio::test]
async fn others_get_a_few_lines() {
    for accept in ["*/*", "text/plain"] {
        let answer = front(accept).await;
        assert!(answer.body.starts_with("sluicegate "), "{}", answer.body);
    }
}
