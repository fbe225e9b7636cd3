//! What cargo knows about our crates and about those they need.

use serde_json::Value;

use crate::cargo::Cargo;

/// One package of the dependency tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// As its manifest says it.
    pub(crate) licence: Option<String>,
    /// Whether it belongs to this workspace.
    pub(crate) ours: bool,
    pub(crate) dependencies: Vec<Dependency>,
}

/// What one manifest says about another package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Whether only tests, examples and benchmarks need it.
    pub(crate) dev: bool,
}

/// Every package that could be compiled for any target, ours included.
pub(crate) fn load() -> Result<Vec<Package>, String> {
    let output = Cargo::new(&["metadata", "--format-version", "1", "--locked"]).output()?;
    let json: Value = serde_json::from_slice(&output).map_err(|error| error.to_string())?;
    let members = json["workspace_members"].as_array().ok_or("cargo named no workspace members")?;
    let packages = json["packages"].as_array().ok_or("cargo named no packages")?;
    Ok(packages.iter().map(|package| read(package, members.contains(&package["id"]))).collect())
}

fn read(package: &Value, ours: bool) -> Package {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let dependencies = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
    Package {
        name: text(&package["name"]).unwrap_or_default(),
        version: text(&package["version"]).unwrap_or_default(),
        licence: text(&package["license"]),
        ours,
        dependencies: dependencies
            .iter()
            .map(|dependency| Dependency {
                name: text(&dependency["name"]).unwrap_or_default(),
                dev: dependency["kind"] == "dev",
            })
            .collect(),
    }
}
