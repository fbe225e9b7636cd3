//! `sluicegate passwd`.

use std::fs;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use config::users;

use crate::args::PasswdArgs;
use crate::terminal::tell;
use crate::{EXIT_FINDINGS, EXIT_USAGE};

/// The longest password that is read: far more than anybody types, and the most that MQTT can send.
const PASSWORD_BYTES_MAX: u64 = 65_535;

/// Gives a user a password, or takes the user out.
pub(crate) fn run(args: &PasswdArgs) -> ExitCode {
    match change(args) {
        Ok(done) => {
            tell(done);
            ExitCode::SUCCESS
        }
        Err(Trouble(exit_code, message)) => {
            tell(format_args!("error: {message}"));
            ExitCode::from(exit_code)
        }
    }
}

/// An exit code with its message.
struct Trouble(u8, String);

fn change(args: &PasswdArgs) -> Result<String, Trouble> {
    let (file, name) = (&args.file, &args.name);
    if let Some(problem) = users::name_problem(name) {
        return Err(Trouble(EXIT_USAGE, problem.to_owned()));
    }
    let unreadable =
        |error: io::Error| Trouble(EXIT_USAGE, format!("cannot read `{}`: {error}", file.display()));
    let old = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !args.delete => String::new(),
        Err(error) => return Err(unreadable(error)),
    };
    let (known, _) = users::parse(&old);
    let is_known = known.contains_key(name);
    if args.delete && !is_known {
        return Err(Trouble(EXIT_FINDINGS, format!("there is no user `{name}` in `{}`", file.display())));
    }
    let hash =
        match args.delete {
            true => None,
            false => {
                let password = read_password(name)?;
                let hash = server::hash_password(password.as_bytes());
                Some(hash.map_err(|error| {
                    Trouble(EXIT_FINDINGS, format!("the password cannot be hashed: {error}"))
                })?)
            }
        };
    let new = users::with_user(&old, name, hash.as_deref());
    let unwritable = |error| Trouble(EXIT_FINDINGS, format!("cannot write `{}`: {error}", file.display()));
    replace(file, &new).map_err(unwritable)?;
    let what = match (args.delete, is_known) {
        (true, _) => "is gone from",
        (false, true) => "has a new password in",
        (false, false) => "is added to",
    };
    Ok(format!("the user `{name}` {what} `{}`", file.display()))
}

/// From the terminal, twice and unseen, or the first line of standard input.
fn read_password(name: &str) -> Result<String, Trouble> {
    let unreadable = |error: io::Error| Trouble(EXIT_USAGE, format!("cannot read the password: {error}"));
    let password = if io::stdin().is_terminal() {
        let password = rpassword::prompt_password(format!("Password of {name}: ")).map_err(unreadable)?;
        let again = rpassword::prompt_password("Once more: ").map_err(unreadable)?;
        if password != again {
            return Err(Trouble(EXIT_USAGE, "these are two different passwords".to_owned()));
        }
        password
    } else {
        let mut text = String::new();
        io::stdin().take(PASSWORD_BYTES_MAX + 2).read_to_string(&mut text).map_err(unreadable)?;
        text.lines().next().unwrap_or_default().to_owned()
    };
    if password.is_empty() {
        return Err(Trouble(EXIT_USAGE, "a password has at least one character".to_owned()));
    }
    if password.len() as u64 > PASSWORD_BYTES_MAX {
        return Err(Trouble(EXIT_USAGE, format!("a password has at most {PASSWORD_BYTES_MAX} bytes")));
    }
    Ok(password)
}

/// Puts a file in the place of another, so that whoever reads it sees one or the other. Only its owner may read it, unless
/// the old one was for more.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    // A link stays a link, and what it leads to is replaced.
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let mode = fs::metadata(&file).map_or(0o600, |old| old.permissions().mode() & 0o777);
    let aside = beside(&file);
    let written = (|| {
        let mut new = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        new.write_all(text.as_bytes())?;
        new.set_permissions(fs::Permissions::from_mode(mode))?;
        new.sync_all()?;
        fs::rename(&aside, &file)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&aside);
    }
    written
}

/// A name for the new file in the same folder.
fn beside(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!(".{name}.{}", std::process::id()))
}
