import type { Figures, GetFiguresRequest } from "@sallyport/proto/router";
import type { UnaryHandler } from "@sallyport/service";
import { figuresMessage, type FiguresSources } from "./figures-message.ts";

export function getFigures(sources: FiguresSources): UnaryHandler<GetFiguresRequest, Figures> {
  return async () => figuresMessage(sources);
}
