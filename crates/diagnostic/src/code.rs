//! The one table of codes. A released code is never reused; a new one goes to the end of its hundred.

use std::fmt;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// It works, but probably not as meant.
    Warning,
    /// It does not work; the file keeps its last good version.
    Error,
}

impl Severity {
    /// The word that answers and terminals show.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// Declares the codes once: variant, spelling, title, and a paragraph for the docs.
macro_rules! codes {
    ($($(#[$_attr:meta])* $variant:ident $code:literal $title:literal $docs:literal,)*) => {
        /// What kind of problem a diagnostic reports.
        ///
        /// `E1..` syntax, `E2..` names, types and functions, `E3..` templates and topics, `E4..` files and settings;
        /// `W5..` warnings about SQL, `W6..` about templates, files and settings, `W9..` about portability.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $(#[doc = $title] $variant,)* }

        impl Code {
            /// Every code, in the order of the docs.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The stable spelling, such as `E101`.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $code,)* }
            }

            /// A few words.
            pub fn title(self) -> &'static str {
                match self { $(Code::$variant => $title,)* }
            }

            /// A paragraph for the docs: when it is reported, and what to do.
            pub fn docs(self) -> &'static str {
                match self { $(Code::$variant => $docs,)* }
            }
        }
    };
}

impl Code {
    /// The severity that diagnostics of this code have by default: what begins with `E` is an error.
    pub fn severity(self) -> Severity {
        if self.as_str().starts_with('E') { Severity::Error } else { Severity::Warning }
    }

    /// The code of this spelling.
    pub fn from_code(code: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|known| known.as_str() == code)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

codes! {
    UnexpectedToken "E101" "Something else was expected here."
        "The statement cannot go on with this word or sign. The message names what may stand here.",
    UnexpectedCharacter "E102" "A character that has no meaning in SQL."
        "The character belongs to no word, number or operator of the dialect. Names with unusual characters stand in double quotes.",
    Unterminated "E103" "A string, name or comment that never ends."
        "The closing quote or `*/` is missing. Strings have no escapes: a backslash before a quote does not protect it.",
    SqlTooLong "E104" "More SQL than a rule may have."
        "One statement may have 64 KiB.",
    NestingTooDeep "E105" "Nested too deeply."
        "Parentheses, lists, calls, CASE, NOT and signs may be nested in one another up to a fixed depth. Move a part into a field of its own and use its alias.",
    MissingFrom "E106" "No FROM."
        "Every statement names the topics, sources or events it reads: `FROM \"sensors/#\"`.",
    MissingField "E107" "Nothing selected."
        "SELECT, FOREACH and DO need at least one field, IN at least one value.",
    BadNumber "E108" "Not a number."
        "Numbers are integers of any size, or floats such as `1.5` and `1e5` that stay within the range of a double.",
    ReservedWord "E109" "A keyword stands where a name is needed."
        "Put the name in double quotes, as in `\"from\"`.",
    BadPath "E110" "Not a path."
        "A path is a name followed by `.key`, `.'key'`, `[1]` or `[name]`. An index is an integer or a name, not a calculation.",
    BadRange "E111" "Not a range."
        "A range is two integers with two full stops and no blanks between: `[1..5]`.",
    NotInDialect "E112" "Other SQL, but not this one."
        "The dialect has no such clause or operator. The help names what does the same here.",
    ChainedComparison "E113" "Comparisons do not chain."
        "`a < b < c` has no meaning; write `a < b AND b < c`, or parentheses where a boolean is to be compared.",
    ClauseOrder "E114" "A clause in the wrong place."
        "The order is `SELECT … FROM … WHERE …` or `FOREACH … DO … INCASE … FROM … WHERE …`, each clause once.",

    UnknownFunction "E201" "There is no such function."
        "Names of functions are case-sensitive.",
    FunctionNotYet "E202" "A function of the dialect that is not there yet."
        "The reference has this function; this release does not, and says so rather than give a wrong answer.",
    ModuleNotAllowed "E203" "A function of a module that may not be called."
        "Only the built-in functions can be called; a module name before them is allowed for `emqx_rule_funcs` only.",
    Arity "E204" "Too many or too few arguments."
        "The help shows how the function is called.",
    ArgumentKind "E205" "An argument of a kind that can never be right."
        "The value of this argument is known to be of a kind that the function always refuses.",
    OperandKind "E206" "An operand of a kind that can never be right."
        "Arithmetic needs numbers (`+` also strings), `div` and `mod` integers.",
    NotACondition "E207" "Neither true nor false."
        "WHERE, INCASE, WHEN, AND, OR and NOT need a comparison, a function call, or something else that gives a boolean.",
    IndexZero "E208" "Arrays start at 1."
        "In a slice such as `a[1..3]` both ends count from 1, or from -1 at the end; 0 is neither.",
    StarMisplaced "E209" "`*` cannot stand here."
        "`*` is a field of SELECT and DO, without alias; it is not an array to loop over nor an argument.",
    SyntaxNotYet "E210" "A construct of the dialect that is not there yet."
        "The reference has this construct; this release does not, and says so rather than give a wrong answer.",
    AlwaysFails "E211" "An expression that always fails."
        "Whatever the message, evaluating this gives an error, as a division by zero does.",
    EvaluationFailed "E212" "The evaluation failed."
        "The message cannot be evaluated by this statement. Nothing of it is passed on; the rule counts it as `failed.exception`.",

    UnclosedPlaceholder "E301" "A placeholder that never ends."
        "`${` begins a placeholder and needs its `}`. Write `${$}{` for the text `${`.",
    BadPlaceholder "E302" "Not a placeholder."
        "Between `${` and `}` stands a path such as `payload.items[1].id`, or `.` for the whole row.",
    BadTopicFilter "E304" "Not a topic filter."
        "`#` stands last and alone on its level, `+` alone on its level, and a filter has 1 to 65535 bytes without NUL.",
    BadTopicName "E307" "Not a topic name."
        "A topic to publish to has no `+` and no `#`, and 1 to 65535 bytes without NUL.",
    TemplateTooLong "E308" "More template than an action may have."
        "A template may have 1 MiB.",

    UnknownKey "E401" "There is no such setting."
        "The name is misspelled or belongs to another table. Unknown settings are refused so that a slip is not silently without effect.",
    WrongType "E402" "A setting of the wrong type."
        "The message names the type that the setting has and the one it needs.",
    MissingKey "E403" "A setting that must be there is missing."
        "The message names it.",
    OutOfRange "E404" "A value out of range."
        "The message names the least and the greatest.",
    DuplicateId "E405" "Two files declare the same."
        "Ids are unique over all folders below the rules folder. The one that was loaded before stays; at a start neither runs.",
    BadEncoding "E406" "Not UTF-8."
        "Files are UTF-8, with or without BOM.",
    UnknownConnector "E407" "There is no such connector."
        "An action or source names a connector of its own type that a file or the API declares.",
    UnknownAction "E408" "There is no such action."
        "Actions are written `\"type:name\"`, or as a table with `function`.",
    BadToml "E409" "Not TOML."
        "Settings and resource files are TOML 1.0.",
    BadName "E410" "A name that is not allowed."
        "Ids and names begin with a letter or digit and go on with letters, digits, `_`, `.` and `-`, at most 255 characters in all.",
    Unreadable "E411" "A file that cannot be read."
        "The note has the reason that the system gives.",
    UnknownType "E412" "There is no such type."
        "The type of a connector, source or action is one that this build knows.",
    InvalidValue "E413" "A value that is not allowed."
        "The message or the help names what is.",
    FileTooLarge "E414" "A file that is too large."
        "Rule, resource and test files are bounded in size.",
    SecretUnreadable "E415" "A secret that cannot be read."
        "The file or the environment variable that should hold it is not there or not readable. The secret itself is never shown.",
    Conflict "E416" "Settings that contradict each other."
        "The message names both.",
    StillUsed "E417" "Something is taken away that others still use."
        "The message names who.",
    SettingNotYet "E418" "A setting that is not there yet."
        "The reference, or a later release, has this setting or value; this release does not, and says so rather than ignore it.",
    Exposed "E419" "Open to the network without authentication."
        "A listener may bind an address that others can reach once authentication is configured, or when its settings say knowingly that anybody may come.",
    UnknownRule "E420" "There is no such rule."
        "A test file `ID.test.toml` holds the cases of the rule `ID.sql` in the same folder.",
    HeldBack "E421" "A version that waits for another file."
        "`[rules] strict` is set, so that everything goes live together or nothing does, and another file has an error. What ran before goes on until that is mended.",
    InternalFault "E422" "A file that the server failed to read because of a mistake of its own."
        "This is a bug of Sluicegate: please report it, with the file. What the file said before stays in force, and all other files are read. Writing it differently may help until the bug is mended.",

    UnknownColumn "W501" "A name that nothing supplies."
        "No event of this FROM has such a column and no alias has this name, so it is always undefined.",
    DoubleQuotes "W502" "Double quotes where single quotes were probably meant."
        "Double quotes make a name; strings stand in single quotes.",
    AliasNotVisible "W503" "An alias that is not visible here."
        "Fields see the aliases before them, WHERE sees those of SELECT or FOREACH, INCASE does not see those of DO.",
    ConstantComparison "W504" "A comparison with one outcome."
        "Whatever the message, this comparison gives the same: both sides are constants, or of kinds that are never equal. `IN` and `CASE x WHEN` compare strictly: there 1 is neither 1.0 nor `'1'`.",
    IndexZeroRead "W505" "Index 0 reads nothing."
        "Arrays start at 1 and count back from -1, so this is always undefined.",
    ElementUnreachable "W506" "A loop whose element has no name."
        "The alias of the array is a path, so that DO and INCASE cannot reach the element. Use a plain name.",
    BareCondition "W507" "A bare value as a condition."
        "It holds if the value is true, and fails for every message in which it is neither true nor false, or missing. Write a comparison such as `payload.ok = true`, which is false then.",
    NeverMatches "W508" "A condition that is never true."
        "A condition is false for every message: it is `false`, or has parts that exclude each other, as `x = 1 AND x = 2`.",
    FilterNeverMatches "W509" "An entry of FROM that nothing matches."
        "It is no valid topic filter, or names an event that there is not.",
    NotOfNonBoolean "W510" "NOT over what is neither true nor false."
        "What is neither true nor false counts as false after NOT, too. NOT takes a comparison, a call, or another value that is true or false.",

    SettingsAfterSql "W601" "A settings line after the SQL began."
        "Lines that begin with `---` are settings only above the first word of SQL; below they are comments.",
    UnknownPlaceholder "W602" "A placeholder that nothing can supply."
        "Neither the SELECT nor any event of FROM has this name, so it never prints a value.",
    DeprecatedKey "W603" "An old spelling."
        "It works; the help names the present one.",
    IneffectiveSetting "W604" "A setting without effect."
        "Another setting makes it so; the message names it.",
    MayGoRound "W605" "A message that may go round."
        "What a rule publishes may come to it again, through other rules or through another broker. Within one server a message ends where it has been before; over MQTT 5 it ends after `max_hops` bridges, over older versions it does not. What placeholders print is not known here, so the way may be one that no message takes.",
    ForgeableName "W606" "A name that clients choose themselves."
        "Who holds a valid token may put any user name into CONNECT, and the access list believes it. `username_claim` takes the name from the token; a claim that must be `${username}` or `${clientid}` holds CONNECT against it.",
    UnknownSource "W607" "A source that does not exist."
        "`$bridges/mqtt:NAME` and `$sources/mqtt:NAME` name a source that a file or the API declares. Until there is one, the rule hears nothing from it.",
    BareDuration "W608" "A time span without a unit."
        "A number without a unit counts milliseconds, as in the reference, and this one is shorter than such a time is anywhere. Write the unit: `30s`.",

    NotPortable "W901" "The reference would refuse this."
        "It means here what it says, but a rule that is to run on the reference too must be written otherwise.",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_ordered_and_well_formed() {
        for pair in Code::ALL.windows(2) {
            assert!(pair[0].as_str() < pair[1].as_str(), "{} before {}", pair[0], pair[1]);
        }
        for code in Code::ALL {
            let text = code.as_str();
            assert!(text.len() == 4 && (text.starts_with('E') || text.starts_with('W')), "{text}");
            assert_eq!(text.starts_with('W'), text.as_bytes()[1] >= b'5', "{text}");
            assert!(code.title().ends_with('.') && !code.docs().is_empty(), "{text}");
            assert_eq!(Code::from_code(text), Some(*code));
        }
    }
}
