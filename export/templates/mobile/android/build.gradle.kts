// What the app's own build.gradle.kts needs; nothing else belongs to the model.
android {
    androidResources { noCompress += "tflite" }
    defaultConfig { testInstrumentationRunner = "androidx.test.runner.AndroidJUnitRunner" }
}

dependencies {
    implementation("com.google.ai.edge.litert:litert:1.4.2")  // Interpreter; Android 5 and later
@% if mediapipe %@
    implementation("com.google.mediapipe:tasks-@{ "text" if is_text else "vision" }@:0.10.29")  // only for MediaPipeClassifier.kt
@% endif %@
    androidTestImplementation("androidx.test.ext:junit:1.2.1")
    androidTestImplementation("androidx.test:runner:1.6.2")
}
