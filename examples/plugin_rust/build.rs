// The daemon compares the build-id of the image that it has mapped with the file's.
fn main() {
    println!("cargo:rustc-link-arg-cdylib=-Wl,--build-id=sha1");
}
