#[cfg(feature = "loud")]
fn shout() { undeclared_name(); }

fn main() {}
