export const size = 1;
const width: number = "wide";
export { width };
