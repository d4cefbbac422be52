import { nothing } from "./missing";
export const value = nothing;
