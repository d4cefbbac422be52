pub fn area(side: f64) f64 {
    return undeclared * side;
}
