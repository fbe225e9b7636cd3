//! The fuzz target `rule_file`, for a moment.

use std::path::Path;

#[path = "../../../fuzz/src/rule_file.rs"]
#[allow(unreachable_pub)] // the fuzz targets are another crate
mod rule_file;
#[path = "../../../fuzz/src/twin.rs"]
mod twin;

#[test]
fn any_text_is_read_as_a_rule() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules");
    let paths = std::fs::read_dir(folder).expect("the samples").map(|entry| entry.expect("an entry").path());
    let sql = paths.filter(|path| path.extension().is_some_and(|end| end == "sql"));
    let mut seeds: Vec<Vec<u8>> = sql.map(|path| std::fs::read(path).expect("a sample")).collect();
    seeds.extend(
        [
            "\u{feff}-- What it is.\r\n---\r\n--- tags = [\"a\", 'b']\r\n--- enable = false\r\nSELECT * FROM \"t\"",
            "--- description = \"\"\"\n--- two\n--- lines\"\"\"\n-- not this\nSELECT 1 AS a -- x\nFROM \"t\"\n--- late = 1\n",
            // Was taken for SQL, and lost when it was written.
            "\u{feff}\u{feff}",
            " \u{feff}-- x\n\u{feff} SELECT 1 AS a FROM \"t\"",
            // The blank before the first word became a line of its own.
            "--- description = \"\"\"\n--- two\n--- lines\"\"\"\n--\n n",
            // The line end of the comment lost its carriage return.
            "--- description = \"\"\"\n--- two\n--- lines\"\"\"\n--\r\n n",
            // The comment lost the blank that kept it from being a settings line.
            "--- description = \"\"\"\n--- two\"\"\"\n --- two\n-",
            "----- no settings\n--x\n\n---\tname = 'n'\n--- actions = [{ function = \"console\" }]\nFOREACH",
        ]
        .map(Vec::from),
    );
    twin::run(&seeds, 500, rule_file::run);
}
