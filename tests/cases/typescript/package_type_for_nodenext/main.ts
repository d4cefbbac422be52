import { n } from "./other";
export const twice = 2 * n;
