import { area } from "./shapes/square";
import type { Unit } from "./units";
export const unit: Unit = "cm";
export const four: number = area(2);
