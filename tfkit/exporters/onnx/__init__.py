"""ONNX files: what a `.tflite` file of tfkit computes, operator by operator, for onnxruntime, OpenVINO and servers."""
