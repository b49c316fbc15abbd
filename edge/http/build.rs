//! Sees to it that there is a page to embed, whether or not the web client was built.

use std::fs;
use std::io::Result;
use std::path::Path;

const PLACEHOLDER: &str = "<!doctype html>
<html lang=\"en\"><meta charset=\"utf-8\"><title>Tandem</title>
<h1>Tandem</h1>
<p>The web client was not built. Run <code>npm ci &amp;&amp; npm run build</code> in <code>edge/web</code>, then build again.
<p>The API is described at <a href=\"/api/docs\">/api/docs</a>.
</html>
";

fn main() -> Result<()> {
    let dist = Path::new("../web/dist");
    let index = dist.join("index.html");
    if !index.exists() {
        fs::create_dir_all(dist)?;
        fs::write(index, PLACEHOLDER)?;
    }
    println!("cargo::rerun-if-changed=../web/dist");
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
