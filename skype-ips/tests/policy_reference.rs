//! The reference in docs/policy.md is what the code says of its keys.

use std::path::Path;
use std::{env, fs};

use skype_ips::policy;

const BEGINS: &str = "<!-- reference: begins -->\n";
const ENDS: &str = "<!-- reference: ends -->";

/// With `SKYPE_IPS_UPDATE_DOCS=1` it is written anew.
#[test]
fn the_reference_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policy.md");
    let text = fs::read_to_string(&path).expect("docs/policy.md is there");
    let (before, rest) = text.split_once(BEGINS).expect("where the reference begins");
    let (shown, after) = rest.split_once(ENDS).expect("where the reference ends");
    let said = format!("\n{}\n", policy::reference());
    if env::var_os("SKYPE_IPS_UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{before}{BEGINS}{said}{ENDS}{after}")).expect("it is written");
        return;
    }
    assert!(
        shown == said,
        "docs/policy.md is behind the code: run this test with SKYPE_IPS_UPDATE_DOCS=1"
    );
}
