//! Checks that the softphone page, which is embedded in the binary, was built.

fn main() {
    println!("cargo::rerun-if-changed=web/dist");
    let how = "run `npm ci && npm run build` in control-api/web, or `make build`, which does so";
    match std::fs::read_to_string("web/dist/index.html") {
        Err(_) => println!(
            "cargo::error=the softphone page is not built (control-api/web/dist/index.html is \
                missing): {how}"
        ),
        Ok(page)
            if page.matches(r#"<script type="application/json" id="launch"></script>"#).count()
                != 1 =>
        {
            println!(
                "cargo::error=control-api/web/dist/index.html has no place for the launch data, \
                    or more than one: {how}"
            );
        }
        Ok(_) => {}
    }
}
