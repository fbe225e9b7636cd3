//! Which licences may come into the tree. Needs no network: the manifests say it.

use spdx::{Expression, ParseMode};

use crate::metadata::Package;

/// Ours.
const OURS: &str = "Apache-2.0";

/// Those under which we take others' work: permissive ones, and none that asks for more than to be named.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// One line for each package that may not be here.
pub(crate) fn findings(packages: &[Package]) -> Vec<String> {
    packages.iter().filter_map(finding).collect()
}

fn finding(package: &Package) -> Option<String> {
    let Package { name, version, licence, ours, .. } = package;
    match licence {
        None => Some(format!("{name} {version} names no licence")),
        Some(licence) if *ours => {
            (licence != OURS).then(|| format!("{name} is ours and is under `{licence}` instead of `{OURS}`"))
        }
        Some(licence) => match allowed(licence) {
            Ok(true) => None,
            Ok(false) => {
                Some(format!("{name} {version} is under `{licence}`, which is not among those allowed"))
            }
            Err(error) => {
                Some(format!("{name} {version}: the licence `{licence}` is no SPDX expression: {error}"))
            }
        },
    }
}

/// Whether an SPDX expression can be fulfilled with [`ALLOWED`] alone. Exceptions only ever permit more.
fn allowed(licence: &str) -> Result<bool, String> {
    // Old manifests write `MIT/Apache-2.0`.
    let expression =
        Expression::parse_mode(licence, ParseMode::LAX).map_err(|error| error.reason.to_string())?;
    Ok(expression
        .evaluate(|requirement| requirement.license.id().is_some_and(|id| ALLOWED.contains(&id.name))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_permissive_side_of_an_or_is_enough() {
        for licence in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0 OR ISC",
            "Apache-2.0 WITH LLVM-exception",
            "(MIT OR X11) AND Zlib",
        ] {
            assert_eq!(allowed(licence), Ok(true), "{licence}");
        }
        for licence in ["GPL-3.0", "MIT AND MPL-2.0", "BUSL-1.1", "LicenseRef-mine"] {
            assert_eq!(allowed(licence), Ok(false), "{licence}");
        }
        assert!(allowed("whatever you like").is_err());
    }

    #[test]
    fn each_finding_names_its_package() {
        let package = |name: &str, licence: Option<&str>, ours| Package {
            name: name.into(),
            version: "1.0.0".into(),
            licence: licence.map(Into::into),
            ours,
            dependencies: Vec::new(),
        };
        let packages = [
            package("fine", Some("MIT"), false),
            package("copyleft", Some("GPL-2.0-only"), false),
            package("silent", None, false),
            package("sql", Some("Apache-2.0"), true),
            package("eval", Some("MIT"), true),
        ];
        assert_eq!(
            findings(&packages),
            [
                "copyleft 1.0.0 is under `GPL-2.0-only`, which is not among those allowed",
                "silent 1.0.0 names no licence",
                "eval is ours and is under `MIT` instead of `Apache-2.0`",
            ]
        );
    }
}
