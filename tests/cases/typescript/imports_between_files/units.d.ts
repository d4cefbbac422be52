export type Unit = "m" | "cm";
