//! Tells the program which commit it was built from, so that a result can be
//! run again. Nothing else is done at build time.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=../.git/logs/HEAD");
    // A result of sources that were not committed must say so.
    for sources in [".", "../proto-core/src", "../sans-io/src", "../cli/src", "../rendezvous/src"] {
        println!("cargo::rerun-if-changed={sources}");
    }
    let described = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok());
    let commit = described.as_deref().map_or("unknown", str::trim);
    println!("cargo::rustc-env=PASSEL_SIM_COMMIT={commit}");
}
