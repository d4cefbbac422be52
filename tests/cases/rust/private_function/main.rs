mod inner {
    fn hidden() {}
}

fn main() {
    inner::hidden();
}
