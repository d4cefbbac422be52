import { price } from "./shop.js";
export const twice: number = 2 * price;
