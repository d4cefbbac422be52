const missing = @import("missing.zig");

export fn one() u32 {
    return missing.one();
}
