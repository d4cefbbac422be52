#![crate_name = "geometry"]

pub fn area(r: f64) -> f64 { 3.14 * r * r }

fn main() { println!("{}", area(2.0)); }
