export fn number() u32 {
    return "text";
}
