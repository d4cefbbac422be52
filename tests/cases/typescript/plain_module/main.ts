interface Shape { readonly area: number }
export const square = (side: number): Shape => ({ area: side ** 2 });
export type Named<T extends Shape> = T & { name: string };
