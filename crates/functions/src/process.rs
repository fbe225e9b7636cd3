//! What rules share with the process they run in: its environment, random identities, and stored values.

use value::Value;

use crate::function::{ANY, BOOL, STR, gives, optional, sig};
use crate::{Args, CallError, Function};

const SOURCE: &str = "EMQX 5 docs, Built-in SQL Functions, System, UUID and key-value functions";
const FULL: &str = "Fails when the store is full.";

pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "getenv",
        usage: "getenv(name)",
        signatures: &[sig(&[STR], STR)],
        summary: "The variable `SLUICEGATEVAR_name` of the process, or `EMQXVAR_name`; empty where there is neither.",
        errors: "Fails when the name is not a string.",
        source: SOURCE,
        examples: &[gives("getenv('NO_SUCH_VARIABLE')", "''")],
        body: |args| {
            let found = args.context().surroundings.variables.get(args.utf8(0)?);
            Ok(found.map_or(Value::Str(b""), |text| Value::text(text)))
        },
    },
    Function {
        name: "kv_store_del",
        usage: "kv_store_del(key)",
        signatures: &[sig(&[ANY], BOOL)],
        summary: "Forgets a value that was stored; always true.",
        errors: "",
        source: SOURCE,
        examples: &[gives("kv_store_del('example')", "true")],
        body: |args| {
            args.context().surroundings.store.take(&shared(args)?);
            Ok(Value::Bool(true))
        },
    },
    Function {
        name: "kv_store_get",
        usage: "kv_store_get(key[, default])",
        signatures: &[optional(1, &[ANY, ANY], ANY)],
        summary: "The value that any rule has stored under the key; the default, or undefined, where there is none.",
        errors: "",
        source: SOURCE,
        examples: &[gives("kv_store_get('nothing', 0)", "0")],
        body: |args| {
            Ok(args.context().surroundings.store.get(&shared(args)?, args.arena()).unwrap_or(args.value(1)))
        },
    },
    Function {
        name: "kv_store_put",
        usage: "kv_store_put(key, value)",
        signatures: &[sig(&[ANY, ANY], BOOL)],
        summary: "Stores a value under the key for all rules, until the process ends; always true.",
        errors: FULL,
        source: SOURCE,
        examples: &[gives("kv_store_put('example', 1)", "true")],
        body: |args| {
            args.context().surroundings.store.put(shared(args)?, &args.value(1))?;
            Ok(Value::Bool(true))
        },
    },
    Function {
        name: "proc_dict_del",
        usage: "proc_dict_del(key)",
        signatures: &[sig(&[ANY], ANY)],
        summary: "Forgets a value of this client, and gives it; undefined where there is none.",
        errors: "",
        source: SOURCE,
        examples: &[gives("proc_dict_del('nothing')", "null()")],
        body: |args| {
            let (key, store) = (own(args)?, &args.context().surroundings.store);
            let before = store.get(&key, args.arena());
            store.take(&key);
            Ok(before.unwrap_or_default())
        },
    },
    Function {
        name: "proc_dict_get",
        usage: "proc_dict_get(key)",
        signatures: &[sig(&[ANY], ANY)],
        summary: "The value that was kept for this client under the key; undefined where there is none.",
        errors: "",
        source: SOURCE,
        examples: &[gives("proc_dict_get('nothing')", "null()")],
        body: |args| Ok(args.context().surroundings.store.get(&own(args)?, args.arena()).unwrap_or_default()),
    },
    Function {
        name: "proc_dict_put",
        usage: "proc_dict_put(key, value)",
        signatures: &[sig(&[ANY, ANY], ANY)],
        summary: "Keeps a value for this client under the key, and gives the one before.",
        errors: FULL,
        source: SOURCE,
        examples: &[gives("coalesce(proc_dict_put('example', 1), 1)", "1")],
        body: |args| {
            let (key, store) = (own(args)?, &args.context().surroundings.store);
            let before = store.get(&key, args.arena());
            store.put(key, &args.value(1))?;
            Ok(before.unwrap_or_default())
        },
    },
    Function {
        name: "uuid_v4",
        usage: "uuid_v4()",
        signatures: &[sig(&[], STR)],
        summary: "A random UUID.",
        errors: "",
        source: SOURCE,
        examples: &[gives("strlen(uuid_v4())", "36"), gives("substr(uuid_v4(), 14, 1)", "'4'")],
        body: |args| Ok(uuid(args, true)),
    },
    Function {
        name: "uuid_v4_no_hyphen",
        usage: "uuid_v4_no_hyphen()",
        signatures: &[sig(&[], STR)],
        summary: "A random UUID without hyphens.",
        errors: "",
        source: SOURCE,
        examples: &[gives("strlen(uuid_v4_no_hyphen())", "32")],
        body: |args| Ok(uuid(args, false)),
    },
];

/// A key that all rules and clients share.
fn shared(args: Args<'_>) -> Result<Vec<u8>, CallError> {
    let mut key = vec![0];
    crate::term::encode(&args.value(0), &mut key)?;
    Ok(key)
}

/// A key of the client whose message this is: what the reference keeps in the process of its connection.
fn own(args: Args<'_>) -> Result<Vec<u8>, CallError> {
    let mut key = vec![1];
    crate::term::encode(&args.context().column("clientid"), &mut key)?;
    crate::term::encode(&args.value(0), &mut key)?;
    Ok(key)
}

fn uuid(args: Args<'_>, hyphens: bool) -> Value<'_> {
    let random = args.context().random;
    let bits = u128::from(random.next()) << 64 | u128::from(random.next());
    // Version 4 and the variant of RFC 9562.
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let digits = format!("{bits:032x}");
    if !hyphens {
        return args.string(digits.as_bytes());
    }
    let (a, b, c, d, e) = (&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]);
    args.string(format!("{a}-{b}-{c}-{d}-{e}").as_bytes())
}
