const Light = enum(u8) { red, green, amber };

export fn stop(light: Light) bool {
    return switch (light) {
        .red => true,
        .green => false,
    };
}
