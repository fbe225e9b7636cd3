use value::{Entry, Map, Value};

use super::put;
use crate::function::MAP;
use crate::{Args, CallError};

/// A payload whose metrics have property sets and data sets as maps. What is no proper set stays as it is.
pub(super) fn zip(args: Args<'_>) -> Result<Value<'_>, CallError> {
    let Value::Map(payload) = args.value(0) else { return Err(args.kind(0, MAP)) };
    let Some(metrics) = payload.get(b"metrics") else { return Ok(Value::Map(payload)) };
    let no_list = CallError::Domain { arg: 0, reason: "has `metrics` that are no list of maps" };
    let Value::Array(metrics) = metrics else { return Err(no_list) };
    let mut zipped = Vec::with_capacity(metrics.len());
    for metric in metrics {
        let Value::Map(metric) = metric else { return Err(no_list) };
        let mut metric = *metric;
        if let Some(properties) = metric.get(b"properties") {
            metric = put(args, metric, b"properties", property_set(args, properties, 0)?);
        }
        if let Some(data_set) = metric.get(b"dataset_value") {
            metric = put(args, metric, b"dataset_value", self::data_set(args, data_set)?);
        }
        zipped.push(Value::Map(metric));
    }
    Ok(Value::Map(put(args, payload, b"metrics", args.list(zipped))))
}

fn property_set<'a>(args: Args<'a>, value: Value<'a>, depth: u32) -> Result<Value<'a>, CallError> {
    if depth > super::decode::DEPTH_MAX {
        return Err(CallError::TooLarge);
    }
    let Value::Map(map) = value else { return Ok(value) };
    if let (Some(Value::Array(keys)), Some(Value::Array(values))) = (map.get(b"keys"), map.get(b"values")) {
        if keys.len() != values.len() {
            return Ok(value);
        }
        let others = map.entries().iter().filter(|entry| entry.key != b"keys" && entry.key != b"values");
        let mut entries: Vec<Entry<'a>> = others.copied().collect();
        let values = values.iter().map(|value| property_set(args, *value, depth + 1));
        merge(keys, &values.collect::<Result<Vec<_>, _>>()?, &mut entries)?;
        return Ok(Value::Map(Map::new(args.arena().slice(&entries))));
    }
    if let Some(inner) = map.get(b"propertyset_value") {
        return Ok(Value::Map(put(args, map, b"propertyset_value", property_set(args, inner, depth + 1)?)));
    }
    if let Some(Value::Map(list)) = map.get(b"propertysets_value")
        && let Some(Value::Array(sets)) = list.get(b"propertyset")
    {
        let sets = sets.iter().map(|set| property_set(args, *set, depth + 1));
        let sets = args.list(sets.collect::<Result<Vec<_>, _>>()?);
        return Ok(Value::Map(put(args, map, b"propertysets_value", sets)));
    }
    Ok(value)
}

fn data_set<'a>(args: Args<'a>, value: Value<'a>) -> Result<Value<'a>, CallError> {
    let Value::Map(map) = value else { return Ok(value) };
    match (map.get(b"columns"), map.get(b"rows")) {
        (Some(Value::Array(columns)), Some(Value::Array(rows))) if columns.len() == rows.len() => {
            let mut entries = Vec::new();
            merge(columns, rows, &mut entries)?;
            Ok(Value::Map(Map::new(args.arena().slice(&entries))))
        }
        _ => Ok(value),
    }
}

/// Puts values under their keys; of a key that is there already the last value counts.
fn merge<'a>(
    keys: &[Value<'a>],
    values: &[Value<'a>],
    entries: &mut Vec<Entry<'a>>,
) -> Result<(), CallError> {
    let mut places: std::collections::HashMap<&[u8], usize> =
        entries.iter().enumerate().map(|(at, entry)| (entry.key, at)).collect();
    for (key, value) in keys.iter().zip(values) {
        let Value::Str(key) = key else {
            return Err(CallError::Domain { arg: 0, reason: "has a key that is no string" });
        };
        match places.get(key) {
            Some(at) => entries[*at].value = *value,
            None => {
                places.insert(key, entries.len());
                entries.push(Entry { key, value: *value });
            }
        }
    }
    Ok(())
}
