export fn one() u32 {
    const spare = 2;
    return 1;
}
