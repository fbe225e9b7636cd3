//! Dead letters as JSON.

use engine::ReplayOutcome;
use engine::dead_letters::Letter;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::listing::Meta;

/// One page of letters.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LetterPage {
    pub(crate) data: Vec<LetterInfo>,
    pub(crate) meta: Meta,
}

/// One letter: as it lies on disk, with its number, and with the payload as text where it is text.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LetterInfo {
    id: u64,
    #[serde(flatten)]
    letter: Value,
}

impl LetterInfo {
    pub(crate) fn new(letter: Letter) -> Self {
        Self { id: letter.id, letter: shown(letter) }
    }

    /// As one of many: of what is too long for a list, only how long it is.
    pub(crate) fn short(mut letter: Letter) -> Self {
        const BYTES_MAX: usize = 1000;
        let is_long = |json: &Value| json.to_string().len() > BYTES_MAX;
        letter.columns.take_if(|columns| is_long(columns));
        letter.row.take_if(|row| is_long(row));
        let request = std::mem::take(&mut letter.request);
        let request_bytes = (request.len() > BYTES_MAX).then_some(request.len());
        match request_bytes {
            Some(_) => letter.rendered = Value::Null,
            None => letter.request = request,
        }
        let payload = letter.message.as_mut().map(|message| &mut message.payload);
        let payload = payload.filter(|payload| payload.len() > BYTES_MAX).map(std::mem::take);
        let mut info = Self::new(letter);
        if let (Some(payload), Some(message)) = (payload, info.letter["message"].as_object_mut()) {
            message.remove("payload");
            message.insert("payload_bytes".to_owned(), payload.len().into());
        }
        if let Some(bytes) = request_bytes {
            info.letter["request_bytes"] = bytes.into();
        }
        info
    }
}

/// A letter as `GET /dead_letters/:id` shows it.
pub fn show_letter(letter: Letter) -> Value {
    serde_json::to_value(LetterInfo::new(letter)).unwrap_or_default()
}

fn shown(letter: Letter) -> Value {
    let payload = letter.message.as_ref().and_then(|message| std::str::from_utf8(&message.payload).ok());
    let payload = payload.map(str::to_owned);
    // A letter is made of what JSON has.
    let mut shown = serde_json::to_value(letter).unwrap_or_default();
    if let Some(message) = shown.get_mut("message").and_then(Value::as_object_mut) {
        let encoded = message.remove("payload").unwrap_or_default();
        match payload {
            Some(text) => message.insert("payload".to_owned(), text.into()),
            None => message.insert("payload_base64".to_owned(), encoded),
        };
    }
    if let Some(letter) = shown.as_object_mut()
        && let Some(request) = letter.remove("request")
    {
        letter.insert("request_base64".to_owned(), request);
    }
    shown
}

/// What a replay did.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Replayed {
    replayed: Vec<u64>,
    refused: Vec<Refused>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Refused {
    id: u64,
    reason: String,
}

impl Replayed {
    pub(crate) fn new(outcome: ReplayOutcome) -> Self {
        let refused = outcome.refused.into_iter().map(|(id, reason)| Refused { id, reason });
        Self { replayed: outcome.replayed, refused: refused.collect() }
    }
}

/// What was thrown away.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Discarded {
    pub(crate) discarded: usize,
}

#[cfg(test)]
mod tests {
    use engine::dead_letters::Message;

    use super::*;

    #[test]
    fn a_list_leaves_out_what_is_long() {
        let letter = |bytes: usize| Letter {
            id: 7,
            request: vec![b'x'; bytes],
            message: Some(Message { payload: vec![b'y'; bytes], ..Message::default() }),
            row: Some(vec![1; bytes].into()),
            ..Letter::default()
        };
        let short = LetterInfo::short(letter(10)).letter;
        assert_eq!(short, LetterInfo::new(letter(10)).letter);
        let short = LetterInfo::short(letter(100_000)).letter;
        assert_eq!(
            (&short["message"]["payload_bytes"], &short["request_bytes"]),
            (&100_000.into(), &100_000.into())
        );
        assert_eq!(short["message"]["payload"], Value::Null);
        assert!(short.to_string().len() < 500, "{short}");
    }
}
