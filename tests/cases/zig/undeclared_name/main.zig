export fn twice(total: u32) u32 {
    return totl * 2 + total;
}
