macro_rules! pair {
    ($left:expr, $right:expr) => { ($left, $right) };
}

fn main() {
    let _two = pair!(1, 2);
    let _three = pair!(1; 3);
}
