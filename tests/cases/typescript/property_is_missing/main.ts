interface Size { width: number; height: number }
export const size: Size = { width: 1 };
