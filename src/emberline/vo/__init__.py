"""The Virtual Observatory: others are asked by `emberline.vo.client`, and answered by `emberline.vo.server`."""
