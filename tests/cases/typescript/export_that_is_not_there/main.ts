import { volume } from "./shapes";
export const value = volume;
