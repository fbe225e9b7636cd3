//! `${payload.t}` placeholders: one engine for the topics, payloads and settings of every action.
//!
//! A [`Template`] is parsed once, when its file is read, and rendered for each row into a buffer that is used again.
//!
//! *Invariant:* knows neither SQL nor events: what a name stands for is the business of the [`Scope`]. Rendering never
//! fails, and allocates nothing once the buffer has grown.

mod parse;
mod render;

use std::fmt;

use diagnostic::Span;

pub use render::{Missing, Scope};

/// A compiled text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    segments: Vec<Segment>,
}

/// The longest template (bytes).
pub const BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// Text as it stands.
    Text(Box<str>),
    /// `${.}`: the whole row as JSON.
    Row,
    /// `${a.b[1]}`.
    Placeholder(Placeholder),
}

/// A name with a path, `${name.key[1]}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholder {
    root: Box<str>,
    steps: Box<[Step]>,
    span: Span,
}

/// A step of a placeholder's path; owns what [`value::path::Step`] borrows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(Box<str>),
    Index(i64),
}

/// A piece of a template, for those who reason about what it may print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'t> {
    /// Text as it stands.
    Text(&'t str),
    /// A placeholder that is a name and nothing more.
    Name(&'t str),
    /// Any other placeholder, and the whole row.
    Other,
}

impl Placeholder {
    /// The name at the head of the path.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The keys after it, up to the first that is no key.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map_while(|step| match step {
            Step::Key(key) => Some(&**key),
            Step::Index(_) => None,
        })
    }

    /// Where it stands (bytes), `${` and `}` included: in the template, or in its file after [`Template::located`].
    pub fn span(&self) -> Span {
        self.span
    }
}

impl Template {
    /// A template without placeholders.
    pub fn literal(text: &str) -> Self {
        let segments = if text.is_empty() { Vec::new() } else { vec![Segment::Text(text.into())] };
        Self { segments }
    }

    /// The placeholders in the order in which they stand; `${.}` is none.
    pub fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Placeholder(placeholder) => Some(placeholder),
            Segment::Text(_) | Segment::Row => None,
        })
    }

    /// Everything it is made of, in order.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        self.segments.iter().map(|segment| match segment {
            Segment::Text(text) => Piece::Text(text),
            Segment::Placeholder(placeholder) if placeholder.steps.is_empty() => {
                Piece::Name(&placeholder.root)
            }
            Segment::Placeholder(_) | Segment::Row => Piece::Other,
        })
    }

    /// Says where the placeholders stand in the file that holds the template: `place` gets their spans in the template.
    #[must_use]
    pub fn located(mut self, place: impl Fn(Span) -> Span) -> Self {
        for segment in &mut self.segments {
            if let Segment::Placeholder(placeholder) = segment {
                placeholder.span = place(placeholder.span);
            }
        }
        self
    }

    /// Whether it has no text and no placeholder.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// The text, if there is no placeholder in it.
    pub fn as_literal(&self) -> Option<&str> {
        match &*self.segments {
            [] => Some(""),
            [Segment::Text(text)] => Some(text),
            _ => None,
        }
    }
}

/// As it is written, but for quotes that are not needed.
impl fmt::Display for Template {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Text(text) => out.write_str(text)?,
                Segment::Row => out.write_str("${.}")?,
                Segment::Placeholder(placeholder) => {
                    write!(out, "${{{}", placeholder.root)?;
                    for step in &placeholder.steps {
                        match step {
                            Step::Key(key) => write!(out, ".{key}")?,
                            Step::Index(index) => write!(out, "[{index}]")?,
                        }
                    }
                    out.write_str("}")?;
                }
            }
        }
        Ok(())
    }
}
