export fn one() u32 {
    var value: u32 = 1;
    return value;
}
