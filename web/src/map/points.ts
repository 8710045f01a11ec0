/** Marks as GL points: one draw call without instances, which software renderers draw one by one. */
import { Layer, type LayerProps, project32 } from "@deck.gl/core";
import { Model } from "@luma.gl/engine";

interface PointsProps extends LayerProps {
  data: number[];
  size: number; // CSS pixels
  most: number; // of the works, in their order, that are drawn
  getPosition: (i: number) => [number, number, number];
  getColor: (i: number) => [number, number, number, number];
  getShape: (i: number) => number; // circle, square, triangle, diamond; plus 4: hollow
}

const uniforms = "layout(std140) uniform pointsUniforms { float size; } points;";
const vs = `#version 300 es
#define SHADER_NAME points
in vec3 positions;
in vec3 positions64Low;
in vec4 colors;
in float shapes;
out vec4 vColor;
flat out float vShape;
void main() {
  gl_Position = project_position_to_clipspace(positions, positions64Low, vec3(0.0));
  gl_PointSize = points.size;
  vColor = colors;
  vShape = shapes;
}`;
const fs = `#version 300 es
#define SHADER_NAME points
precision highp float;
in vec4 vColor;
flat in float vShape;
out vec4 fragColor;
void main() {
  vec2 p = gl_PointCoord * 2.0 - 1.0;
  float kind = mod(vShape, 4.0);
  float d = kind < 0.5 ? length(p) - 0.84 : kind < 1.5 ? max(abs(p.x), abs(p.y)) - 0.74
    : kind < 2.5 ? max(abs(p.x) * 0.9 - p.y * 0.45, p.y) - 0.66 : abs(p.x) + abs(p.y) - 0.98;
  float edge = 2.0 / points.size;
  float alpha = 1.0 - smoothstep(-edge, edge, d);
  if (vShape > 3.5) alpha *= smoothstep(-edge, edge, d + 0.36);
  if (alpha < 0.02) discard;
  fragColor = vec4(vColor.rgb, vColor.a * alpha);
}`;

const defaultProps = {
  size: { type: "number", value: 12 },
  most: { type: "number", value: Infinity },
  getPosition: { type: "accessor", value: [0, 0, 0] },
  getColor: { type: "accessor", value: [0, 0, 0, 255] },
  getShape: { type: "accessor", value: 0 },
};

export class PointsLayer extends Layer<PointsProps> {
  static override layerName = "PointsLayer";
  static override defaultProps = defaultProps as never;

  override getShaders(): object {
    return super.getShaders({ vs, fs, modules: [project32, { name: "points", vs: uniforms, fs: uniforms, uniformTypes: { size: "f32" } }] });
  }

  override initializeState(): void {
    this.getAttributeManager()!.add({
      positions: { size: 3, type: "float64", fp64: this.use64bitPositions(), accessor: "getPosition" },
      colors: { size: 4, type: "unorm8", accessor: "getColor" },
      shapes: { size: 1, accessor: "getShape" },
    });
    const bufferLayout = this.getAttributeManager()!.getBufferLayouts();
    const shaders = this.getShaders();
    this.setState({ model: new Model(this.context.device, { ...shaders, id: this.props.id, bufferLayout, topology: "point-list", isInstanced: false }) });
  }

  override draw(): void {
    const model = this.state.model as Model;
    model.shaderInputs.setProps({ points: { size: this.props.size * this.context.device.canvasContext!.cssToDeviceRatio() } });
    model.setVertexCount(Math.min(this.props.most, this.props.data.length));
    model.draw(this.context.renderPass);
  }
}
