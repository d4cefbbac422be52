export const value: u8 = 256;
