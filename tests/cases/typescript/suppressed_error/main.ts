// @ts-expect-error
export const size: number = "text";
// @ts-expect-error
export const width: number = 1;
