use crate::{Code, Severity, Span};

/// One problem of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of problem it is; stable over releases.
    pub code: Code,
    /// How bad; the code's own unless the caller raised or lowered it.
    pub severity: Severity,
    /// Where, in the text of the file.
    pub span: Span,
    /// What is wrong: one lowercase sentence without a final stop.
    pub message: String,
    /// A few words to stand beside the underline; may be empty.
    pub label: String,
    /// A way out.
    pub help: Option<String>,
    /// Further sentences.
    pub notes: Vec<String>,
    /// The key that the table at `span` should have and does not.
    pub lacks: Option<String>,
    /// Other places of the same file that belong to it.
    pub related: Vec<Related>,
}

/// A second place that helps to understand a [`Diagnostic`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// Where, in the same file.
    pub span: Span,
    /// A few words to stand beside the underline.
    pub label: String,
}

impl Diagnostic {
    /// A problem with the severity that its code has by default, and nothing but its message.
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            span,
            message: message.into(),
            label: String::new(),
            help: None,
            notes: Vec::new(),
            related: Vec::new(),
            lacks: None,
        }
    }

    /// About a key that the table at `span` should have and does not.
    #[must_use]
    pub fn lacks(mut self, key: impl Into<String>) -> Self {
        self.lacks = Some(key.into());
        self
    }

    /// With words beside the underline.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// With a way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With a way out if there is one.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    /// With one more sentence.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// With one more place of the same file.
    #[must_use]
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related.push(Related { span, label: label.into() });
        self
    }

    /// With another severity than the code's own.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Moved `offset` bytes to the right with everything that belongs to it.
    #[must_use]
    pub fn shifted(mut self, offset: u32) -> Self {
        self.span = self.span.shifted(offset);
        for related in &mut self.related {
            related.span = related.span.shifted(offset);
        }
        self
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
