use std::sync::LazyLock;

use event::Column;
use value::json::{Document, Key, Read};
use value::{Arena, Entry, Map, Value};

/// What a program makes of a message, or of an element of one: values under names, which are unique.
///
/// What stands in the payload as it would be written is written from there, and so are names from a text that was made with
/// the program.
#[derive(Debug, Clone, Copy)]
pub struct Row<'m> {
    fields: &'m [RowField<'m>],
    /// The payload, if anything has been read of it.
    document: Document<'m>,
}

/// A value under its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowField<'m> {
    pub(crate) key: &'m Key,
    pub(crate) read: Read<'m>,
}

impl<'m> Row<'m> {
    /// The row of these fields, which were read of this payload or of none.
    pub(crate) fn new(fields: &'m [RowField<'m>], document: Document<'m>) -> Self {
        Self { fields, document }
    }

    /// What it has under a name; `None` if there is no such name.
    pub fn get(&self, name: &[u8]) -> Option<Value<'m>> {
        self.fields.iter().find(|field| field.key.name() == name).map(|field| field.read.value)
    }

    /// Appends it as a JSON object.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        for field in self.fields {
            field.key.write(out);
            self.document.write(&field.read, out);
        }
        // Each key has brought a comma.
        match out.get_mut(start) {
            Some(comma) => *comma = b'{',
            None => out.push(b'{'),
        }
        out.push(b'}');
    }

    /// It as a map.
    pub fn to_value(&self, arena: &'m Arena) -> Value<'m> {
        let entries = self.fields.iter().map(|RowField { key, read }| (key.name(), read.value));
        let entries = entries.map(|(key, value)| Entry { key, value });
        Value::Map(Map::new(arena.bump().alloc_slice_fill_iter(entries)))
    }
}

/// The key of a column.
pub(crate) fn column_key(column: Column) -> &'static Key {
    static KEYS: LazyLock<Vec<Key>> =
        LazyLock::new(|| Column::ALL.iter().map(|column| Key::new(column.name().as_bytes())).collect());
    &KEYS[column as usize]
}
