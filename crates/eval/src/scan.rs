use std::cell::Cell;

use value::json::{self, Cursor, JsonError, RawString, Token};
use value::path::{self, Step};
use value::{Arena, Value};

use crate::paths::{Node, PathStep, Union};

/// What one walk over a payload has found: for each node of a [`Union`], where its value stands in the text.
///
/// The walk checks the whole document. Nothing is decoded until a rule reads it, and then only once.
#[derive(Clone, Copy)]
pub(crate) struct Scan<'m> {
    nodes: &'m [Node],
    /// The text of each node's value; empty where the payload has none.
    found: &'m [Cell<&'m [u8]>],
    decoded: &'m [Cell<Option<Value<'m>>>],
    arena: &'m Arena,
}

impl<'m> Scan<'m> {
    /// Walks over a payload. Fails where it is not JSON, wherever in it that shows.
    pub(crate) fn new(payload: &'m [u8], union: &'m Union, arena: &'m Arena) -> Result<Self, JsonError> {
        let nodes = union.nodes();
        if simdutf8::basic::from_utf8(payload).is_err() {
            // The fast check only says that there is a fault; the slow one says where.
            let at = std::str::from_utf8(payload).err().map_or(0, |slow| slow.valid_up_to());
            return Err(JsonError { at, reason: "not UTF-8" });
        }
        let bump = arena.bump();
        let scan = Self {
            nodes,
            found: bump.alloc_slice_fill_with(nodes.len(), |_| Cell::new(&b""[..])),
            decoded: bump.alloc_slice_fill_with(nodes.len(), |_| Cell::new(None)),
            arena,
        };
        let mut cursor = Cursor::new(payload);
        match scan.value(&mut cursor, payload, 0, 0).and_then(|()| cursor.end()) {
            Some(()) => Ok(scan),
            None => Err(cursor.error()),
        }
    }

    /// The value at the cursor, which belongs to node `at`.
    fn value(&self, cursor: &mut Cursor<'m>, payload: &'m [u8], at: u32, depth: usize) -> Option<()> {
        let node = &self.nodes[at as usize];
        if node.keys.is_empty() && node.indexes.is_empty() {
            self.found[at as usize].set(cursor.skip(depth)?);
            return Some(());
        }
        cursor.peek();
        let start = cursor.at();
        match cursor.token()? {
            Token::Object => self.object(cursor, payload, node, depth)?,
            Token::Array => self.array(cursor, payload, node, depth)?,
            _ => {}
        }
        self.found[at as usize].set(&payload[start..cursor.at()]);
        Some(())
    }

    fn object(&self, cursor: &mut Cursor<'m>, payload: &'m [u8], node: &Node, depth: usize) -> Option<()> {
        cursor.descend(depth)?;
        if cursor.eat(b'}') {
            return Some(());
        }
        loop {
            let key = cursor.key()?;
            match node.keys.iter().find(|(name, _)| is_key(&key, name)) {
                Some((_, child)) => {
                    self.forget(*child);
                    self.value(cursor, payload, *child, depth + 1)?;
                }
                None => _ = cursor.skip(depth + 1)?,
            }
            if !cursor.more(b'}')? {
                return Some(());
            }
        }
    }

    fn array(&self, cursor: &mut Cursor<'m>, payload: &'m [u8], node: &Node, depth: usize) -> Option<()> {
        cursor.descend(depth)?;
        if cursor.eat(b']') {
            return Some(());
        }
        for place in 1u32.. {
            match node.indexes.iter().find(|(index, _)| *index == place) {
                Some((_, child)) => self.value(cursor, payload, *child, depth + 1)?,
                None => _ = cursor.skip(depth + 1)?,
            }
            if !cursor.more(b']')? {
                break;
            }
        }
        Some(())
    }

    /// Of doubled keys the last wins: what an earlier one has left below the node goes.
    fn forget(&self, at: u32) {
        if !self.found[at as usize].get().is_empty() {
            for found in &self.found[at as usize..self.nodes[at as usize].end as usize] {
                found.set(b"");
            }
        }
    }

    /// The value of a node; undefined where the payload has none.
    pub(crate) fn get(&self, at: u32) -> Value<'m> {
        let decoded = &self.decoded[at as usize];
        if let Some(value) = decoded.get() {
            return value;
        }
        let value = self.decode(at);
        decoded.set(Some(value));
        value
    }

    fn decode(&self, at: u32) -> Value<'m> {
        let text = self.found[at as usize].get();
        if !text.is_empty() {
            // The walk has checked the text, so this cannot fail.
            return json::parse_at(&mut Cursor::new(text), self.arena).unwrap_or_default();
        }
        let node = &self.nodes[at as usize];
        let Some(step) = &node.step else { return Value::Undefined };
        // The walk does not look into strings. If there is one above, it may hold JSON that goes on from there.
        let above = self.found[node.parent as usize].get();
        if !above.is_empty() && above[0] != b'"' {
            return Value::Undefined;
        }
        let step = match step {
            PathStep::Key(key) => Step::Key(key),
            PathStep::Index(index) => Step::Index(i64::from(*index)),
        };
        path::get_step(self.get(node.parent), step, self.arena)
    }
}

fn is_key(key: &RawString<'_>, name: &[u8]) -> bool {
    if !key.escaped {
        return key.raw == name;
    }
    let mut rest = Some(name);
    key.unescape(|part| rest = rest.and_then(|rest| rest.strip_prefix(part)));
    rest.is_some_and(<[u8]>::is_empty)
}
