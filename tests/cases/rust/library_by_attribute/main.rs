#![crate_type = "lib"]
#![crate_name = "geometry"]

pub fn area(r: f64) -> f64 { 3.14 * r * r }
